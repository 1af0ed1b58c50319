"""How many values are NaN or infinite. They are left out of sums; a site reports them itself."""

from relucid.probes.sums import Sum, nonfinite

NONFINITE = Sum(nonfinite)
