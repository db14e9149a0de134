"""`pipemon drill`: a failure mode is brought about in a running service, and its alert waited for."""
