import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Marked } from 'marked';
import { Application, Logger, LogLevel, type TypeDocOptions } from 'typedoc';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const REFERENCE_FILE = path.join(ROOT, 'src/web/client-reference.html');

/** Of typedoc-plugin-markdown: one page, without its own frame. */
const ONE_PAGE = {
  ...{ outputFileStrategy: 'modules', hidePageHeader: true, hidePageTitle: true, hideBreadcrumbs: true },
  ...{ parametersFormat: 'table', typeDeclarationFormat: 'table', interfacePropertiesFormat: 'table' },
};

const page = (content: string): string => `<!doctype html>
<!-- Made from the comments in src/web/client: UPDATE_CLIENT_REFERENCE=1 npm test -- test/unit/web/client/reference.test.ts -->
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Reference of the browser library – WebRTC Transponder</title>
    <link rel="icon" href="../console/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="../examples/example.css">
  </head>
  <body>
    <main class="reference">
      <h1>Reference of the browser library</h1>
      <p>
        What <code>/client/index.js</code> and the package <code>@webrtc-transponder/client</code> export.
        See also the <a href="../examples/">examples</a>, the <a href="../docs">REST API</a> and the <a href="../">console</a>.
      </p>
${content}    </main>
  </body>
</html>
`;

class Complaints extends Logger {
  readonly list: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level >= LogLevel.Warn) this.list.push(message);
  }
}

/** The page that the gateway serves at `/docs/client`, made by typedoc, and what typedoc complains about. */
export async function clientReference(): Promise<{ html: string; complaints: string[] }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'client-reference-'));
  const logger = new Complaints();
  try {
    const app = await Application.bootstrapWithPlugins({
      entryPoints: [path.join(ROOT, 'src/web/client/index.js')],
      tsconfig: path.join(ROOT, 'src/web/client/tsconfig.json'),
      plugin: ['typedoc-plugin-markdown'],
      out: folder,
      logLevel: 'None',
      readme: 'none',
      ...{ disableSources: true, disableGit: true, skipErrorChecking: true },
      ...{ excludeExternals: true, excludePrivate: true, excludeInternal: true },
      ...(ONE_PAGE as Partial<TypeDocOptions>),
    });
    app.logger = logger;
    const project = await app.convert();
    if (!project) throw new Error(`typedoc failed: ${logger.list.join('; ')}`);
    app.validate(project);
    await app.generateOutputs(project);
    const html = page(await toHtml(await readFile(path.join(folder, 'README.md'), 'utf8')));
    return { html, complaints: logger.list };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Headings get the ids that typedoc-plugin-markdown refers to: those of GitHub. */
async function toHtml(markdown: string): Promise<string> {
  const counts = new Map<string, number>();
  const ids = new Set<string>();
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const slug = text.toLowerCase().replace(/[^\w]+/g, '');
        const count = counts.get(slug) ?? 0;
        counts.set(slug, count + 1);
        const id = count === 0 ? slug : `${slug}-${count}`;
        ids.add(id);
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
    },
  });
  const html = await marked.parse(markdown);
  // The plugin also counts what it does not print.
  return html.replace(/(?<=href="#)(\w+)-\d+(?=")/g, (link, slug: string) => (ids.has(link) ? link : slug));
}
