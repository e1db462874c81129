"""What a site looks at and is woken by: one list of panels and one of alerts, from which all files are written."""
