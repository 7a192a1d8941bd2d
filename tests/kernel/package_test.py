# SPDX-License-Identifier: GPL-2.0-or-later
"""What DKMS is given: a tree that needs nothing beside itself, under one version everywhere."""

import pathlib
import re
import subprocess
import tempfile
import unittest

TOP = pathlib.Path(__file__).parents[2]


def version():
    return subprocess.run([TOP / "scripts/version"], capture_output=True, text=True,
                          check=True).stdout.strip()


def fields(text, **variables):
    """The variables that a dkms.conf sets, as DKMS's own shell would read them."""
    names = re.findall(r"(?m)^([A-Z_]+)(?:\[0\])?=", text)
    given = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    shown = "".join(f'printf "%s\\n" "${{{name}[0]}}"\n' for name in names)
    result = subprocess.run(["bash", "-euc", given + text + shown], capture_output=True, text=True,
                            check=True)
    return dict(zip(names, result.stdout.splitlines(), strict=True))


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "src"
        subprocess.run([TOP / "scripts/kernel-sources", self.folder], check=True)

    def sources(self):
        return [path for path in self.folder.rglob("*") if path.suffix in (".c", ".cpp", ".h")]

    def test_every_header_of_ours_is_in_it(self):
        self.assertGreater(len(self.sources()), 50)
        for path in self.sources():
            for header in re.findall(r'(?m)^#include "([^"]+)"', path.read_text()):
                self.assertTrue((self.folder / header).is_file(), f"{path.name}: {header}")

    def test_nothing_of_the_tests_is_in_it(self):
        strange = [path for path in self.sources()
                   if re.search(r"_test\.cpp|_bench\.cpp|/testing/", str(path))]
        self.assertEqual(strange, [])

    def test_dkms_builds_the_module_of_this_version(self):
        conf = fields((self.folder / "dkms.conf").read_text(), kernel_source_dir="/kernel",
                      dkms_tree="/var/lib/dkms")
        self.assertEqual(conf["PACKAGE_VERSION"], version())
        target = (self.folder / "kernel/target.c").read_text()
        self.assertIn(f'MODULE_VERSION("{version()}")', target)
        kbuild = (self.folder / "Kbuild").read_text()
        self.assertIn(f'obj-m := {conf["BUILT_MODULE_NAME"]}.o', kbuild)
        self.assertEqual(conf["MAKE"], "make -C /kernel M=/var/lib/dkms/dm-remap/"
                                       f"{version()}/build modules")
        self.assertIn(f'/usr/src/{conf["PACKAGE_NAME"]}-$(DEB_VERSION_UPSTREAM)',
                      (TOP / "packaging/debian/rules").read_text())

    def test_dkms_leaves_kernels_alone_that_are_too_old(self):
        conf = fields((self.folder / "dkms.conf").read_text(), kernel_source_dir="",
                      dkms_tree="")
        for kernel in ("6.1.0-56-amd64", "6.12.1", "7.0.0-rc1", "10.2"):
            self.assertRegex(kernel, conf["BUILD_EXCLUSIVE_KERNEL"])
        for kernel in ("6.0.0-6-amd64", "5.10.0", "4.19.1"):
            self.assertNotRegex(kernel, conf["BUILD_EXCLUSIVE_KERNEL"])


if __name__ == "__main__":
    unittest.main()
