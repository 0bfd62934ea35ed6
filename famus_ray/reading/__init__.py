"""Reading runs and studies: pandas and plotly, neither torch nor Ray."""
