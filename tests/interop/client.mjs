// GitHub's own client of the cache service, from the command line:
//
//   node client.mjs CACHE_JS save KEY PATH
//   node client.mjs CACHE_JS restore KEY PATH [RESTORE_KEY...]
//
// CACHE_JS is the main file of the package @actions/cache. The last line that is printed is `RESULT ` and JSON: the number of
// the entry that was saved, or the key of the one that was restored.

import {pathToFileURL} from 'node:url'

const [, , module, verb, key, path, ...restoreKeys] = process.argv
const cache = await import(pathToFileURL(module))
const result = verb === 'save' ? await cache.saveCache([path], key) : await cache.restoreCache([path], key, restoreKeys)
// The client keeps its connections for three minutes, and the process would live as long.
process.stdout.write(`RESULT ${JSON.stringify(result ?? null)}\n`, () => process.exit())
