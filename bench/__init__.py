"""What the product costs, beside its peers and the floors below them: ``python -m bench``."""
