"""The lines of the policy: key, verdict, what is met, and what happens then or what to do. `policy` uses them."""

ACCEPT, WARN, REFUSE, STOP = "accept", "warn", "refuse", "stop"
VERDICTS = {ACCEPT: "accepted", WARN: "accepted with a warning", REFUSE: "refused", STOP: "stops the batch"}

MAX_BYTES = 32 * 2**20  # of a CIF or a POSCAR, unpacked
MAX_TEXT = 512 * 2**20  # of a text file of many structures
MAX_ATOMS = 12_000  # of one cell; a CIF of so many takes about a minute
MAX_OPERATIONS = 400  # of one symmetry; no group has more than 192, magnetic ones twice that
MAX_ELEMENT = 100  # the last element with features
SHORTEST = 0.5  # A; no two nuclei of a crystal come closer
SMALLEST_VOLUME = 1.0  # A3 an atom
LARGEST_VOLUME = 1e6  # A3 an atom; the search for neighbours needs memory in proportion
LARGEST_CELL = 1e8  # A3 in all, for the same reason
REACH = 8.0  # A; the radius of the graphs, unless set otherwise
OCCUPANCY_ROUNDING = 0.01  # a site this near to full is full

Line = tuple[str, str, str, str]

FILE: tuple[Line, ...] = (
    ("plain", ACCEPT, "a CIF, POSCAR, CONTCAR, (extended) XYZ, pymatgen JSON, ASE `.db`, `.json` or `.traj`", "read"),
    ("compressed", ACCEPT, "the same as `.gz`, `.bz2` or `.xz` (text formats)", "unpacked in memory"),
    ("encoding", ACCEPT, "UTF-8 with or without a mark, UTF-16 or UTF-32 with one; any line ends", "decoded"),
    ("odd-name", ACCEPT, "blanks, accents or other scripts in a file name", "the id is the name in Unicode's form NFC"),
    ("encoding-guessed", WARN, "bytes that are not UTF-8", "read as Latin-1; numbers and symbols are the same in it"),
    ("typography", WARN, "minus signs or blanks as word processors set them", "read as plain ones"),
    ("wrong-ending", WARN, "a known format under another format's ending", "read by its content; rename it"),
    ("several-frames", WARN, "more than one frame in an XYZ file or a trajectory",
     "each is a crystal of its own; select those you want, or their near copies will count many times"),
    ("other-files", WARN, "files of other kinds in the folder", "left out; rename them if they are structures"),
    ("missing", REFUSE, "a path, or a link, to nothing", "check the path"),
    ("not-a-file", REFUSE, "a pipe, a device, a folder or a loop of links in place of a file", "give a regular file"),
    ("outside", REFUSE, "a link, or a path in a CSV, that leads out of its folder",
     "copy the file into the folder, or give the path itself in a list"),
    ("bad-name", REFUSE, "a name with control characters or undecodable bytes", "rename the file"),
    ("no-access", STOP, "a fault of the machine: no permission, no space, an error of the disk",
     "a fault of the machine and not of the structure; mend it and start again"),
    ("empty", REFUSE, "nothing but blanks in the file", "get the file again"),
    ("too-large", REFUSE, f"a CIF or POSCAR above {MAX_BYTES // 2**20} MiB, another text above "
     f"{MAX_TEXT // 2**20} MiB, {MAX_ATOMS:,} atoms or {MAX_OPERATIONS} operations",
     "cut it down to one cell, or leave it out"),
    ("broken-archive", REFUSE, "compressed data that end early or are damaged", "get the file again"),
    ("binary", REFUSE, "bytes that are no text: a picture, a PDF, a zip archive, control characters",
     "unpack or convert it to CIF"),
    ("web-page", REFUSE, "a web page saved in place of a file", "download the file itself"),
    ("unknown-kind", REFUSE, "a file of a kind that no reader knows", "convert it to CIF"),
    ("no-reader", REFUSE, "XYZ, `.db`, ASE's `.json` or `.traj` where ASE is not installed",
     "install it (pip install ase), or convert the file to CIF"),
    ("unreadable", REFUSE, "text that its reader cannot parse: cut short, garbled, columns missing",
     "get the file again or correct it"),
    ("no-structure", REFUSE, "a readable file without a crystal structure", "give a file that has one"),
    ("several-blocks", REFUSE, "a CIF with more than one structure", "save each in its own file"),
)  # fmt: skip

STRUCTURE: tuple[Line, ...] = (
    ("sound", ACCEPT, "slabs, chains, molecules in a periodic box; noble gases, actinides; one atom, or thousands",
     "read as it is"),
    ("symmetry-applied", ACCEPT, "a CIF with operations: the asymmetric unit", "expanded to the whole cell"),
    ("deuterium", WARN, "D or T in place of hydrogen", "read as hydrogen: the features know no isotopes"),
    ("occupancy-unknown", WARN, "an occupancy of '?'", "read as 1"),
    ("occupancy-zero", WARN, "a site with occupancy 0", "left out"),
    ("occupancy-rounded", WARN, f"an occupancy within {OCCUPANCY_ROUNDING} of 1", "read as 1"),
    ("element-guessed", WARN, "a symbol that is no element as written (CA, OW), where the formula or the type column "
     "confirms the guess", "check the element"),
    ("symmetry-absent", WARN, "a CIF without any symmetry whose atoms fill the stated formula", "read as P1"),
    ("symmetry-from-name", WARN, "a group's name without operations",
     "worked out from the name; if a group has two origins, check the bonds"),
    ("symmetry-differs", WARN, "another number of operations than the named group has", "the operations count"),
    ("magnetic", WARN, "a magnetic CIF", "read with its magnetic symmetry; moments are not used"),
    ("not-periodic", WARN, f"a box that is not periodic in all directions, with {REACH:g} A of vacuum at least",
     "read as periodic; no image comes within reach of the graph"),
    ("isolated-atom", WARN, f"atoms without a neighbour within {REACH:g} A",
     "widen the radius (GraphSettings(cutoff=...), --cutoff), or the atom hears nothing from the rest"),
    ("no-cell", REFUSE, "no lattice, or '?' in it; a molecule without a box",
     "give the cell; a molecule needs a box with vacuum (atoms.center(vacuum=8), pbc=True)"),
    ("thin-vacuum", REFUSE, f"a box that is not periodic in all directions, with less than {REACH:g} A of vacuum",
     "set pbc=True if they are a crystal, else widen the box"),
    ("no-coordinates", REFUSE, "a site with '?' or '.' in place of a coordinate; no fractional coordinates",
     "give every site x, y and z, or remove it"),
    ("no-atoms", REFUSE, "no atoms", "give a file that has some"),
    ("not-finite", REFUSE, "NaN or infinity in the cell or the coordinates", "correct the number"),
    ("volume", REFUSE, f"a volume outside {SMALLEST_VOLUME:g} to {LARGEST_VOLUME:g} A3 an atom, or above "
     f"{LARGEST_CELL:g} A3 in all", "check the cell and its scale factor"),
    ("overlap", REFUSE, f"two atoms less than {SHORTEST} A apart",
     "partial occupancy, too few digits of a special position, or a typo"),
    ("unknown-element", REFUSE, "a dummy, a vacancy, or a symbol that is no element (X, Zz)",
     "remove the site or name its element"),
    ("beyond-the-table", REFUSE, f"an element above {MAX_ELEMENT}", "it has no features; leave the structure out"),
    ("element-ambiguous", REFUSE, "a label such as NH3 or CA1 with nothing that confirms a guess",
     "add a column of type symbols or the formula"),
    ("no-names", REFUSE, "a POSCAR without the names of its elements", "write them in the line above the counts"),
    ("counts-differ", REFUSE, "a POSCAR with another number of names than of counts", "give one count for each name"),
    ("disorder", REFUSE, "a site that is shared or partly occupied", "order it first"),
    ("occupancy-over", REFUSE, "an occupancy above 1 or below 0, also of sites at one place together",
     "correct the occupancies or remove the second site"),
    ("hydrogen-missing", REFUSE, "hydrogens in the formula, or attached to an atom, that have no site",
     "add them: they are part of the crystal"),
    ("formula-differs", REFUSE, "atoms that are not those of the stated formula",
     "get the file again, or correct the formula or the sites"),
    ("units-differ", REFUSE, "another number of formula units in the cell than stated (Z)",
     "check the symmetry, or correct Z"),
    ("symmetry-unknown", REFUSE, "no such space group; no such operation; no symmetry and nothing to confirm P1",
     "give the operations (_space_group_symop_operation_xyz)"),
    ("symmetry-misfit", REFUSE, "operations that the cell does not have, such as cubic ones on unequal axes",
     "check the cell and the space group"),
    ("modulated", REFUSE, "an incommensurate structure", "give a commensurate approximant"),
    ("not-a-structure", REFUSE, "an object that is neither a pymatgen Structure nor ASE Atoms",
     "give one of these, or a path"),
)  # fmt: skip

TABLE: tuple[Line, ...] = (
    ("table-encoding", ACCEPT, "a CSV with a mark, in UTF-16 or in Latin-1", "decoded"),
    ("ids-as-text", ACCEPT, "ids such as 0012, NA, 1e5 or true", "kept as they are written"),
    ("value-missing", ACCEPT, "an empty cell or NaN in a target or a label",
     "kept as missing; training asks what to do: leave the rows out or mask them"),
    ("separator", WARN, "semicolons or tabs in place of commas", "read so; with semicolons 1,5 is one and a half"),
    ("row-repeated", WARN, "the same line twice", "the second is left out"),
    ("value-text", WARN, "text where a target has numbers", "counts as missing; correct it"),
    ("value-infinite", WARN, "an infinite value of a target", "counts as missing; correct it"),
    ("value-unlikely", WARN, "a value outside what the unit allows, such as a gap of 1,500",
     "kept; check the unit and convert it"),
    ("missing-left-out", WARN, "crystals without a target, and the request to leave them out", "left out"),
    ("missing-masked", WARN, "crystals without a target, and the request to mask them", "they teach the others"),
    ("one-class", WARN, "a label with one class only", "nothing can be learnt from it; take another label"),
    ("single-member", WARN, "a class with one crystal",
     "its only positive pair is its own two views; merge classes or leave it"),
    ("no-labels", WARN, "a label that no crystal has", "take another label"),
    ("empty-split", WARN, "a split without crystals", "add some, or let the split be made (drop the column)"),
    ("shared-formula", WARN, "formulas that are in more than one of train, val and test",
     "the error will look too good; split by formula (drop the column)"),
    ("no-match", REFUSE, "a line of the targets that no structure has", "check the names"),
    ("id-repeated", REFUSE, "an id that an earlier entry has", "rename one of them"),
    ("row-empty", REFUSE, "a row whose structure, or path, is empty or has the wrong length", "complete or remove it"),
)  # fmt: skip

CASES: dict[str, tuple[Line, ...]] = {"file": FILE, "structure": STRUCTURE, "table": TABLE}
