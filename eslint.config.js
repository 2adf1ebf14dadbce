import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

/**
 * What each folder of src/ may import, beside itself and the files that serve everybody. The table is the picture of the
 * README: data walks from the front door to the back door once, and imports point one way. An entry is a folder or one file.
 */
const ARROWS = {
  http: ['ingest', 'transponder', 'stream'],
  signaling: ['ingest', 'transponder', 'stream'],
  ingest: ['stream'],
  stream: [],
  transponder: ['encode', 'push', 'stream', 'flv'],
  encode: ['stream', 'depacketize', 'ffmpeg', 'flv'],
  push: ['rtmp', 'ffmpeg', 'flv', 'transponder/destination.ts'],
  flv: ['rtmp/amf0.ts'],
  depacketize: [],
  rtmp: [],
  ffmpeg: [],
  embedded: [],
  // It reads the two for what it counts, and nothing of them calls it back.
  'metrics.ts': ['stream', 'transponder/transponder-view.ts'],
};

/** Files at the top of src/ that any folder of the server may import. */
const FOR_EVERYBODY = ['errors.ts', 'certificate.ts', 'config.ts', 'file-descriptors.ts', 'logger.ts', 'metrics.ts', 'bits.ts', 'kept-bytes.ts', 'loopback.ts', 'pacer.ts', 'pipe.ts', 'turn.ts'];

/** The composition root and the process: they may import everything, and nothing imports them. */
const ROOTS = ['gateway.ts', 'gateway-process.ts', 'main.ts'];

/** Browser code: it shares no module with the server. */
const BROWSER = ['client', 'console'];

const SRC = fileURLToPath(new URL('src/', import.meta.url));

/** The rule that holds the table: says for a relative import inside src/ whether an arrow goes that way. */
const importArrows = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      noArrow: 'src/{{from}} must not import src/{{to}}: see ARROWS in eslint.config.js ({{from}} → {{allowed}}).',
    },
  },
  create(context) {
    const file = path.relative(SRC, context.filename).split(path.sep).join('/');
    if (file.startsWith('..')) return {};
    const from = file.includes('/') ? file.slice(0, file.indexOf('/')) : file;

    function check(node) {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const target = path.relative(SRC, path.resolve(path.dirname(context.filename), specifier)).split(path.sep).join('/');
      if (target.startsWith('..')) return;
      const to = target.includes('/') ? target.slice(0, target.indexOf('/')) : target;
      if (allows(from, to, target)) return;
      const allowed = BROWSER.includes(from) ? 'nothing of the server' : (ARROWS[from] ?? FOR_EVERYBODY).join(', ') || 'nothing';
      context.report({ node, messageId: 'noArrow', data: { from, to: target, allowed } });
    }

    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportAllDeclaration: check,
      ExportNamedDeclaration: check,
    };
  },
};

/** Whether `from` (a folder or a top file of src/) may import `target`, which lies in the folder or is the file `to`. */
function allows(from, to, target) {
  if (from === to) return true;
  if (ROOTS.includes(from)) return !BROWSER.includes(to);
  if (BROWSER.includes(from)) return BROWSER.includes(to);
  if (FOR_EVERYBODY.includes(target)) return true;
  // The files at the top are one family: a reader of settings files may use a reader of properties.
  if (from.endsWith('.ts') && to.endsWith('.ts')) return !ROOTS.includes(to);
  return (ARROWS[from] ?? []).some((entry) => entry === to || entry === target);
}

export default tseslint.config(
  { ignores: ['node_modules/', '.tap/', 'bench/results/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-var': 'error',
      'prefer-const': 'error',
      'no-console': 'off',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-unreachable': 'error',
      'no-fallthrough': 'error',
      'no-control-regex': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
    },
  },
  {
    files: ['src/**/*.ts', 'src/**/*.js'],
    plugins: { transponder: { rules: { 'import-arrows': importArrows } } },
    rules: { 'transponder/import-arrows': 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A promise that nobody waits for is an error that nobody sees.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false, attributes: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true, caughtErrors: 'none' }],
    },
  },
  {
    // One file runs ffmpeg, so that one file knows how a process is ended and what its log says; another asks at the start what it can do.
    files: ['src/**/*.ts'],
    ignores: ['src/ffmpeg/ffmpeg-process.ts', 'src/ffmpeg/ffmpeg-abilities.ts'],
    rules: {
      'no-restricted-imports': ['error', { paths: [{ name: 'fluent-ffmpeg', message: 'Only src/ffmpeg runs ffmpeg.' }] }],
    },
  },
  {
    // tap's tests are awaited by the runner, not by their caller, and each may take its own `t`, used or not. Bytes are compared as
    // regular expressions.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none', caughtErrors: 'none' }],
      'no-control-regex': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafePromises: [{ from: 'package', name: 'PromiseWithSubtest', package: '@tapjs/core' }] },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { ecmaVersion: 'latest', sourceType: 'module' },
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }] },
  },
  {
    // Classic scripts of test pages: what stands at their top is for the page.
    files: ['test/helpers/page/**/*.js'],
    languageOptions: { sourceType: 'script' },
    rules: { 'no-unused-vars': ['error', { vars: 'local', argsIgnorePattern: '^_', caughtErrors: 'none' }] },
  },
);
