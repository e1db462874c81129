"""The control plane: what runs, who may read what, and whether the routers do so."""
