"""Ready-made features: each is a function that returns a Feature or Category.

As an input it is exported as `<parameter>_<name>`, as an output, or where `name` is given, under the name alone.

Tensors are read through numpy. One on a GPU, or one that records gradients, can't be; pipemon does not copy it, which
would wait for the GPU, but counts an extractor's error.
"""
