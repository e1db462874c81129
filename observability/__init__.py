"""What is measured per study and variant: names, pseudonyms, records, traces."""
