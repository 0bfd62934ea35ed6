"""Reading runs and studies with pandas and plotly; needs neither torch nor Ray."""
