"""What every plugin must do, whatever it is for."""

from pegboard.testing.contracts.plugins.documented import Documented
from pegboard.testing.contracts.plugins.removed import Removed
from pegboard.testing.contracts.plugins.started import Started


class PluginContract(Documented, Started, Removed):
    """Tests of a plugin as a whole: from its wheel to its removal.

    A subclass says which plugin; its distribution is installed. The wheel is built from the folder
    that holds the tests, where its `pyproject.toml` declares the plugin::

        class TestPlugin(PluginContract):
            @pytest.fixture
            def plugin_name(self):
                return "notes"
    """
