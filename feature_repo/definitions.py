"""What `feast apply` finds: the views of the profile named by EXIT_PROFILE (`simulated`)."""

from __future__ import annotations

from exit_pipeline.feast_stores.place import environment
from feature_repo.views import ENTITIES, feature_service, feature_views

_settings, _profile = environment()

user, item, unit, cell = ENTITIES
views = feature_views(_profile.spec, _settings.home_of(_profile.name).lake)
user_features, item_features, scene_features, user_interest = views
ranking = feature_service(views)
