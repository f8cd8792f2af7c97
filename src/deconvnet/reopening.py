"""The network and the photos that a mining run was made of, found again."""

from __future__ import annotations

from pathlib import Path

from deconvnet.data import Photos, open_photos
from deconvnet.errors import DataError, RunError, printable
from deconvnet.mining.run_record import MiningRecord
from deconvnet.networks import Network, load
from deconvnet.networks.external import is_file
from deconvnet.runs import Run


def _named(run: Run) -> str:
    """The run's own word for its network; refused where loading it would run a file that the user did not name."""
    name = str(run.inputs["network"])
    if is_file(name):
        raise RunError(
            f"the network of {run.path} is built by a Python file, and no file is run that you did not name: name it "
            f"with --network (it was {printable(name)})."
        )
    return name


class PhotosGone(RunError):
    """A run's photos are not where the run says."""


def reopen(run: Run, data: Path | str | None = None, network: Network | str | None = None) -> tuple[Network, Photos]:
    """The network and the photos of a mining run, refused if they changed since.

    Parameters
    ----------
    run : Run
        Of kind ``"mine"``.
    data : path, optional
        Where the photos lie now, if they moved.
    network : Network or str, optional
        The network, or what to load it by; what the run says unless given. A run cannot name a Python file to run.

    Raises
    ------
    RunError
        If the photos or the weights are gone or are others, or a Python file builds the network and was not named.
    """
    if not isinstance(network, Network):
        network = load(_named(run) if network is None else network, run.place("weights") or "shipped")
    if network.fingerprint != run.inputs["weights_sha256"]:
        raise RunError(f"the weights of {network.name} are not those that {run.path} was mined with: mine again.")
    source = str(data or run.place("photos"))
    names = list(MiningRecord.read(run).names)
    try:
        photos = open_photos(source)
    except DataError as error:
        raise PhotosGone(
            f"the photos of {run.path} are gone from {source}: say where they lie now with --data."
        ) from error
    if list(photos.names) != names:
        place = {name: i for i, name in enumerate(photos.names)}
        if any(name not in place for name in names):
            missing = next(name for name in names if name not in place)
            raise RunError(f"{source} does not hold the photos of {run.path} ({missing} is missing): mine again.")
        photos = photos.subset([place[name] for name in names])
    if photos.fingerprint != run.inputs["photos_sha256"]:
        raise RunError(f"the photos in {source} changed since {run.path} was mined: mine again.")
    return network, photos
