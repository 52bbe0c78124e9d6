#!/usr/bin/env python3
"""Writes what the program is made of: an SBOM (CycloneDX) and the licences of all its libraries.

usage: inventory.py TARGET VERSION FOLDER

FOLDER has the program, vestibule. The time is SOURCE_DATE_EPOCH.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

LICENCE_FILES = ("license", "licence", "copying", "unlicense", "notice", "copyright")

# Rust links its own copy of it into static programs.
MUSL = """musl as a whole is licensed under the following standard MIT license:

Copyright © 2005-2020 Rich Felker, et al.

Permission is hereby granted, free of charge, to any person obtaining
a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to
permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be
included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND,
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT,
TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_packages(target):
    """The program and the libraries that are linked into it or expand its code, by name."""
    tree = ("tree", "--locked", "--target", target, "--edges", "normal", "--no-dedupe")
    linked = set(output("cargo", *tree, "--prefix", "none", "--format", "{p}").splitlines())
    linked = {tuple(line.split()[:2]) for line in linked}
    platform = ("--filter-platform", target)
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", *platform))
    found = [p for p in metadata["packages"] if (p["name"], f"v{p['version']}") in linked]
    edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    ids = {package["id"] for package in found}
    for package in found:
        package["folder"] = pathlib.Path(package["manifest_path"]).parent
        package["expression"] = re.sub(r"\s*/\s*", " OR ", package["license"])
        normal = [d["pkg"] for d in edges[package["id"]] if any(k["kind"] is None for k in d["dep_kinds"])]
        package["uses"] = [id for id in normal if id in ids and id != package["id"]]
    return sorted(found, key=lambda p: (p["name"], p["version"]))


def sqlite_version(packages):
    folder = next(p["folder"] for p in packages if p["name"] == "libsqlite3-sys")
    header = (folder / "sqlite3" / "sqlite3.h").read_text()
    return re.search(r'#define SQLITE_VERSION\s+"([^"]+)"', header)[1]


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    found = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "licenses": [{"expression": package["expression"]}],
        "purl": purl(package),
    }
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def bundled(name, version, expression):
    ref = f"pkg:generic/{name}@{version}"
    licenses = [{"expression": expression}]
    return {"type": "library", "bom-ref": ref, "name": name, "version": version, "licenses": licenses, "purl": ref}


def sbom(packages, version, program):
    with open("Cargo.lock", "rb") as lock:
        checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(lock)["package"]}
    main = next(p for p in packages if p["name"] == "vestibule")
    by_id = {package["id"]: package for package in packages}
    sqlite = bundled("sqlite", sqlite_version(packages), "blessing")
    rust = bundled("rust-std", output("rustc", "--version").split()[1], "MIT OR Apache-2.0")
    edges = [{"ref": purl(p), "dependsOn": sorted(purl(by_id[id]) for id in p["uses"])} for p in packages]
    for edge in edges:
        if edge["ref"].startswith("pkg:cargo/libsqlite3-sys@"):
            edge["dependsOn"].append(sqlite["bom-ref"])
        if edge["ref"] == purl(main):
            edge["dependsOn"].append(rust["bom-ref"])
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    application = component(main, checksums) | {"type": "application", "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": application | {"hashes": [{"alg": "SHA-256", "content": digest}]},
        },
        "components": [component(p, checksums) for p in packages if p is not main] + [rust, sqlite],
        "dependencies": edges + [{"ref": rust["bom-ref"]}, {"ref": sqlite["bom-ref"]}],
    }


def licence_texts(package, packages):
    """The texts in a package, or in another one of the same repository."""
    for other in [package, *(p for p in packages if p["repository"] == package["repository"])]:
        found = [f for f in sorted(other["folder"].iterdir()) if f.name.lower().startswith(LICENCE_FILES)]
        files = [file for f in found for file in ([f] if f.is_file() else sorted(f.iterdir()))]
        if files:
            return [file.read_text(errors="replace").strip() for file in files]
    sys.exit(f"{package['name']} {package['version']} has no licence text")


def licences(packages):
    users = {}
    texts = {}
    for package in packages:
        for text in licence_texts(package, packages):
            # Copies differ in white space.
            key = " ".join(text.split())
            texts.setdefault(key, text)
            users.setdefault(key, []).append(f"{package['name']} {package['version']}")
    texts["musl"], users["musl"] = MUSL, ["musl, the C library"]
    yield "What the program vestibule contains, with its licences."
    yield "SQLite is in the public domain. The Rust standard library is under MIT or Apache-2.0, at your option."
    yield "\n".join(f"{p['name']} {p['version']}: {p['expression']}" for p in packages)
    for key in sorted(texts, key=lambda key: users[key]):
        yield f"{'=' * 80}\n{', '.join(users[key])}\n\n{texts[key]}"


def main():
    target, version, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    packages = read_packages(target)
    bom = sbom(packages, version, folder / "vestibule")
    (folder / "vestibule.cdx.json").write_text(json.dumps(bom, indent=2) + "\n")
    (folder / "LICENSES.txt").write_text("\n\n".join(licences(packages)) + "\n")


main()
