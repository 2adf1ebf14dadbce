/** Makes `dist/` of the package from src/web/client: the ES modules and one classic script. */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const SOURCE = path.resolve(import.meta.dirname, '../../src/web/client');
const DIST = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, 'dist'));

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
const files = readdirSync(SOURCE).filter((name) => name.endsWith('.js'));
const sources = new Map(files.map((name) => [name, readFileSync(path.join(SOURCE, name), 'utf8')]));

for (const [name, text] of sources) writeFileSync(path.join(DIST, name), text);
writeFileSync(path.join(DIST, 'client.iife.js'), classicScript());

/** All modules as functions of one script, which sets the global variable `WebRtcTransponder`. */
function classicScript() {
  const modules = [...sources].map(([name, text]) => {
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2024, removeComments: true },
    });
    return `${JSON.stringify(`./${name}`)}(exports, require) {\n${outputText}}`;
  });
  return `var WebRtcTransponder = (() => {
const modules = {
${modules.join(',\n')}
};
const loaded = {};
const require = (name) => {
  if (!loaded[name]) modules[name]((loaded[name] = {}), require);
  return loaded[name];
};
return require('./index.js');
})();
`;
}
