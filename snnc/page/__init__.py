"""``snnc report``: one page of HTML that holds everything, for a browser without a network."""
