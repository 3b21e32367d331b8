"""The categorizers that come with tokimp: rules for English, and a language model that is asked."""
