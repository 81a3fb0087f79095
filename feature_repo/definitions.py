"""What `feast apply` finds: the views of the profile named by EXIT_PROFILE (`simulated`)."""

from __future__ import annotations

import os
from pathlib import Path

from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings
from feature_repo.views import ENTITIES, feature_service, feature_views

# The feast command runs in this folder; the default home lies beside it.
_home = {} if "EXIT_HOME" in os.environ else {"home": Path(__file__).parents[1] / ".exit"}
_settings = load_settings(**_home)
_profile = load_profile(_settings.profile)

user, item, unit, cell = ENTITIES
views = feature_views(_profile.spec, _settings.home_of(_profile.name).lake)
user_features, item_features, scene_features, user_interest = views
ranking = feature_service(views)
