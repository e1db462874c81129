"""A fuzzer of the reader, and the small files that it begins with."""
