"""Tables of varying length with pandas: filtered, joined, grouped and sorted."""

import numpy as np
import pandas as pd


def work():
    rng = np.random.default_rng(0)
    shops = pd.DataFrame({"shop": np.arange(500), "region": np.arange(500) % 12})
    results = []
    for _ in range(40):
        rows = int(2 ** rng.uniform(13, 19.5))
        sales = pd.DataFrame({"shop": rng.integers(0, 500, rows), "price": rng.random(rows), "count": np.arange(rows)})
        sales = sales[sales.price > 0.2].merge(shops, on="shop")
        sales["total"] = sales.price * sales["count"]
        results.append(sales.groupby("region").total.sum().to_numpy())
        results.append(sales.sort_values("total").total.to_numpy()[::1000].copy())
        yield
    return results
