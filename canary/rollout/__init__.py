"""One change from champion to challenger, declared as a plan and moved by evidence. Pure: the clock is passed in."""
