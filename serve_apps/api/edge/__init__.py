"""What stands before the routes: keys, sizes and times are checked before a body is read or a slot is taken."""
