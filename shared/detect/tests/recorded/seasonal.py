"""Records what statsmodels' ETS model (additive error, damped additive trend, additive season) forecasts one
step ahead, with given smoothing and initial states: seasonal.csv, which seasonal.rs is compared with.

usage: pip install statsmodels==0.14.6 && python seasonal.py > seasonal.csv
"""
import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

SEASON = [3.0, -1.0, -4.0, 2.0]
LEVEL, RATE, TREND, SEASONAL, DAMPING = 10.0, 0.3, 0.1, 0.2, 0.9

random = np.random.default_rng(7)
rows = np.arange(120)
# Uniform noise: no error is so large that it would be clipped.
values = LEVEL + 0.05 * rows + np.resize(SEASON, len(rows)) + random.uniform(-1.0, 1.0, len(rows))
model = ETSModel(
    values,
    error="add",
    trend="add",
    damped_trend=True,
    seasonal="add",
    seasonal_periods=len(SEASON),
    initialization_method="known",
    initial_level=LEVEL,
    initial_trend=0.0,
    initial_seasonal=SEASON,
)
given = {
    "smoothing_level": RATE,
    "smoothing_trend": RATE * TREND,
    "smoothing_seasonal": SEASONAL,
    "damping_trend": DAMPING,
    "initial_level": LEVEL,
    "initial_trend": 0.0,
}
given |= {f"initial_seasonal.{i}": s for i, s in enumerate(SEASON)}
fitted = model.smooth([given[name] for name in model.param_names]).fittedvalues
print("value,forecast")
# One season without noise leads our model to the initial states.
for value in SEASON:
    print(f"{LEVEL + value!r},")
for value, forecast in zip(values, fitted):
    print(f"{float(value)!r},{float(forecast)!r}")
