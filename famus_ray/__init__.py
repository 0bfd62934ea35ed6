"""famus_ray"""
