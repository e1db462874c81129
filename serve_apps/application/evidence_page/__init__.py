"""An evidence pack as one page that needs no script, no network and no other file."""
