import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

/**
 * What each folder of src/ may import, besides itself and the folders of FOR_EVERYBODY: the table of docs/architecture.md. There are no exceptions for
 * single files.
 */
const ARROWS = {
  media: [],
  rtmp: ['media'],
  ffmpeg: ['media'],
  streams: ['media'],
  store: ['media'],
  webrtc: ['streams', 'media'],
  renditions: ['streams', 'ffmpeg', 'media'],
  outputs: ['renditions', 'rtmp', 'ffmpeg', 'media', 'streams', 'store'],
  publish: ['webrtc', 'streams', 'media'],
  access: ['store'],
  hooks: ['store'],
  api: ['access', 'publish', 'outputs', 'rooms', 'streams', 'cluster', 'webrtc'],
  signaling: ['access', 'publish', 'outputs', 'rooms', 'streams', 'cluster', 'webrtc'],
  observe: ['streams', 'outputs'],
  embedded: [],
};

/** Folders and files that every folder of the server may import. Among themselves, they import freely. */
const FOR_EVERYBODY = ['errors.ts', 'config', 'observe', 'runtime', 'net'];

/** The process and the composition root: they import everything, and nothing imports them. */
const ROOTS = ['gateway.ts', 'main.ts'];

/** Browser code shares no module with the server. */
const BROWSER = ['web'];

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
      const target = path
        .relative(SRC, path.resolve(path.dirname(context.filename), specifier))
        .split(path.sep)
        .join('/');
      if (target.startsWith('..')) return;
      const to = target.includes('/') ? target.slice(0, target.indexOf('/')) : target;
      if (allows(from, to)) return;
      const allowed = BROWSER.includes(from)
        ? 'nothing of the server'
        : (ARROWS[from] ?? FOR_EVERYBODY).join(', ') || 'nothing';
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

/** Whether `from` may import `to`; both are folders or top files of src/. */
function allows(from, to) {
  if (from === to) return true;
  if (ROOTS.includes(from)) return !BROWSER.includes(to);
  if (BROWSER.includes(from)) return BROWSER.includes(to);
  if (FOR_EVERYBODY.includes(to)) return true;
  return (ARROWS[from] ?? []).includes(to);
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
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksVoidReturn: { arguments: false, attributes: false } },
      ],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true, caughtErrors: 'none' },
      ],
    },
  },
  {
    // One file runs ffmpeg, so that one file knows how a process is ended and what its log says; another asks at the start what it can do.
    files: ['src/**/*.ts'],
    ignores: ['src/ffmpeg/ffmpeg-process.ts', 'src/ffmpeg/ffmpeg-abilities.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'fluent-ffmpeg', message: 'Only src/ffmpeg runs ffmpeg.' }] },
      ],
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
