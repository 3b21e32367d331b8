"""What a person looks at: tables and figures."""

from tokimp.report import plot as plot  # a room of names that load their modules when they are used; `tokimp.plot`
