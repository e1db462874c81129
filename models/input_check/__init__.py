"""Is this the kind of input that the version was made for? Judged on the image itself, whatever its header says.

`descriptor.describe` makes some thirty numbers of a volume, `fit.fit_reference` learns at registration how they lie
in a version's reference set, and `check.check_input` says at each study how far it lies from that.
"""
