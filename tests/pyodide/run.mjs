// Runs tests/interface/browser_like.py in Pyodide, under Node, and prints its report as JSON.
//
//     node run.mjs FOLDER...    the folders are on Python's path: this repository, its src, and what it depends on
//
// Pyodide is CPython compiled to WebAssembly: it has one thread, no sockets, no processes, and asyncio on a loop of its own.

import path from "node:path";
import process from "node:process";

// Where npm has put it, below the current folder.
const { loadPyodide } = await import(path.resolve("node_modules/pyodide/pyodide.mjs"));
const pyodide = await loadPyodide();
process.argv.slice(2).forEach((folder, n) => {
  pyodide.mountNodeFS(`/mnt/${n}`, path.resolve(folder));
  pyodide.runPython(`import sys; sys.path.insert(${n}, "/mnt/${n}")`);
});
console.log(
  await pyodide.runPythonAsync(`
import json, os, sys
os.environ["IPYTHONDIR"] = "/tmp/ipython"
sys.dont_write_bytecode = True
from tests.interface.browser_like import main
json.dumps(await main(), indent=2)
`),
);
