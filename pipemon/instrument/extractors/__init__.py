"""Ready-made features: each is a function that returns a Feature or Category.

As an input it is exported as `<parameter>_<name>`, as an output, or where `name` is given, under the name alone.
"""
