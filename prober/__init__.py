"""A synthetic health prober for the UiPath Communications Mining API that names the culprit."""
