"""Text -> syntax trees: ViewDefinitions and the FHIRPath in them, with every structural rule."""
