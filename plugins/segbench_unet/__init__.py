"""U-Nets in 2D, 2.5D and 3D, small by default, sized by parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench import hookimpl

if TYPE_CHECKING:
    from segbench import Network


@hookimpl
def segbench_networks() -> list[type[Network]]:
    """Offer the networks of this plugin."""
    from segbench_unet.network import UNet2D, UNet3D, UNet25D

    return [UNet2D, UNet25D, UNet3D]
