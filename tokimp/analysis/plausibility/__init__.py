"""Whether important units are those that people, or whoever wrote the chain, marked."""
