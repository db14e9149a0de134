"""Ready-made monitoring for frameworks: each module needs the library that it is named after."""
