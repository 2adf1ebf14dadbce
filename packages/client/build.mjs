/** Makes `dist/` of the package from src/web/client: the ES modules, one classic script, and the types. */
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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
writeTypes();

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

/** A `.d.ts` of each module, from its comments. */
function writeTypes() {
  const config = path.join(SOURCE, 'tsconfig.json');
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(config, ts.sys.readFile).config, ts.sys, SOURCE);
  const program = ts.createProgram([path.join(SOURCE, 'index.js')], {
    ...options,
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: SOURCE,
    outDir: DIST,
  });
  const { diagnostics } = program.emit();
  const errors = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (errors.length > 0)
    throw new Error(
      ts.formatDiagnostics(errors, {
        getCurrentDirectory: () => SOURCE,
        getCanonicalFileName: (name) => name,
        getNewLine: () => '\n',
      }),
    );
  // These declarations have no module, and are not emitted.
  for (const name of ['schemas.d.ts', 'wire.d.ts']) copyFileSync(path.join(SOURCE, name), path.join(DIST, name));
}
