"""The bench: `tickwire bench`, and what the comparisons with other servers share with it.

`cases/` says what is measured, `processes` starts and pins it, `c/` has the load tool and the floors, `clients/` the
SDK under load, and `figures/` makes tables, pages and plots of what came out.
"""
