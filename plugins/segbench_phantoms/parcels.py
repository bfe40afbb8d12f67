"""The 49 cortical gyri of a hemisphere: name and seed points in template space (right side), rounded."""

from __future__ import annotations

from dataclasses import dataclass

from segbench_phantoms.geometry import Point

SMALLEST = 120.0
"""A gyrus that the others squeeze out keeps at least this volume around its seed, mm3."""
WANDER = 2.5
"""Standard deviation of a seed's position between hemispheres, mm per axis."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A cortical region.

    Args:
        name: abbreviation and name, without the side.
        seeds: points (x, y, z) in mm; a cortical voxel belongs to the parcel with the nearest seed.
    """

    name: str
    seeds: tuple[Point, ...]


PARCELS = (
    Parcel("ACgG anterior cingulate gyrus", ((5.0, 52.0, 8.0), (4.0, 45.0, 18.0), (5.0, 42.0, 0.0), (5.0, 32.0, 22.0))),
    Parcel("AIns anterior insula", ((36.0, 33.0, -4.0), (36.0, 26.0, 4.0))),
    Parcel("AOrG anterior orbital gyrus", ((24.0, 71.0, -11.0),)),
    Parcel("AnG angular gyrus", ((45.0, -46.0, 20.0),)),
    Parcel("Calc calcarine cortex", ((10.0, -60.0, -8.0),)),
    Parcel("CO central operculum", ((48.0, 10.0, 5.0),)),
    Parcel("Cun cuneus", ((8.0, -64.0, 7.0), (8.0, -72.0, 14.0))),
    Parcel("Ent entorhinal area", ((24.0, 22.0, -28.0),)),
    Parcel("FO frontal operculum", ((40.0, 38.0, 2.0),)),
    Parcel("FRP frontal pole", ((13.0, 82.0, 4.0), (13.0, 80.0, -6.0), (14.0, 80.0, 14.0))),
    Parcel("FuG fusiform gyrus", ((35.0, -6.0, -28.0), (34.0, -26.0, -26.0))),
    Parcel("GRe gyrus rectus", ((5.0, 61.0, -20.0), (5.0, 50.0, -20.0))),
    Parcel("IOG inferior occipital gyrus", ((39.0, -55.0, -15.0),)),
    Parcel("ITG inferior temporal gyrus", ((50.0, 14.0, -34.0), (51.0, -8.0, -31.0), (50.0, -32.0, -28.0))),
    Parcel("LiG lingual gyrus", ((13.0, -40.0, -14.0), (13.0, -60.0, -18.0))),
    Parcel("LOrG lateral orbital gyrus", ((36.0, 61.0, -11.0),)),
    Parcel("MCgG middle cingulate gyrus", ((5.0, 20.0, 28.0), (5.0, 4.0, 29.0))),
    Parcel("MFC medial frontal cortex", ((4.0, 63.0, -11.0),)),
    Parcel("MFG middle frontal gyrus", ((34.0, 60.0, 18.0), (36.0, 46.0, 29.0), (36.0, 30.0, 38.0))),
    Parcel("MOG middle occipital gyrus", ((39.0, -64.0, 5.0),)),
    Parcel("MOrG medial orbital gyrus", ((17.0, 62.0, -20.0), (17.0, 48.0, -20.0))),
    Parcel("MPoG postcentral gyrus medial segment", ((7.0, -32.0, 44.0),)),
    Parcel("MPrG precentral gyrus medial segment", ((7.0, -16.0, 41.0),)),
    Parcel("MSFG superior frontal gyrus medial segment", ((5.0, 50.0, 32.0), (5.0, 62.0, 24.0), (5.0, 72.0, 12.0))),
    Parcel("MTG middle temporal gyrus", ((58.0, 14.0, -20.0), (60.0, -8.0, -16.0), (58.0, -32.0, -8.0))),
    Parcel("OCP occipital pole", ((15.0, -77.0, -9.0), (14.0, -79.0, 0.0))),
    Parcel("OFuG occipital fusiform gyrus", ((28.0, -56.0, -20.0),)),
    Parcel("OpIFG opercular part of the inferior frontal gyrus", ((50.0, 34.0, 14.0),)),
    Parcel("OrIFG orbital part of the inferior frontal gyrus", ((42.0, 49.0, -9.0),)),
    Parcel("PCgG posterior cingulate gyrus", ((7.0, -22.0, 20.0), (7.0, -28.0, 10.0))),
    Parcel("PCu precuneus", ((8.0, -46.0, 30.0), (8.0, -44.0, 16.0))),
    Parcel("PHG parahippocampal gyrus", ((25.0, 4.0, -27.0), (22.0, -10.0, -22.0))),
    Parcel("PIns posterior insula", ((38.0, 8.0, -3.0),)),
    Parcel("PO parietal operculum", ((47.0, -14.0, 12.0),)),
    Parcel("PoG postcentral gyrus", ((56.0, 2.0, 20.0), (46.0, -8.0, 36.0), (30.0, -20.0, 50.0), (17.0, -25.0, 56.0))),
    Parcel("POrG posterior orbital gyrus", ((31.0, 42.0, -18.0),)),
    Parcel("PP planum polare", ((48.0, 16.0, -10.0),)),
    Parcel("PrG precentral gyrus", ((54.0, 16.0, 18.0), (44.0, 8.0, 36.0), (28.0, -4.0, 50.0), (16.0, -10.0, 56.0))),
    Parcel("PT planum temporale", ((53.0, -10.0, 3.0),)),
    Parcel("SCA subcallosal area", ((5.0, 33.0, -16.0),)),
    Parcel(
        "SFG superior frontal gyrus", ((17.0, 66.0, 22.0), (17.0, 52.0, 36.0), (16.0, 34.0, 48.0), (15.0, 16.0, 54.0))
    ),
    Parcel("SMC supplementary motor cortex", ((5.0, 22.0, 42.0), (5.0, 6.0, 47.0))),
    Parcel("SMG supramarginal gyrus", ((54.0, -22.0, 26.0),)),
    Parcel("SOG superior occipital gyrus", ((23.0, -72.0, 8.0),)),
    Parcel("SPL superior parietal lobule", ((30.0, -44.0, 40.0), (18.0, -48.0, 44.0))),
    Parcel("STG superior temporal gyrus", ((58.0, 14.0, -9.0), (60.0, -4.0, -4.0), (58.0, -22.0, 3.0))),
    Parcel("TMP temporal pole", ((41.0, 36.0, -29.0),)),
    Parcel("TrIFG triangular part of the inferior frontal gyrus", ((47.0, 54.0, 6.0),)),
    Parcel("TTG transverse temporal gyrus", ((44.0, -2.0, 0.0),)),
)
