"""The small `reproduce` that the tests of the report share."""

from tests.application.conftest import reproduced as reproduced
from tests.application.conftest import shared_folder as shared_folder
