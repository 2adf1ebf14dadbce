import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PlatformCatalogue, type SourcedRule } from '../../../../../src/outputs/push/platforms/catalogue.ts';
import type { Source } from '../../../../../src/outputs/push/platforms/platform-schema.ts';

const FILE = join(import.meta.dirname, '../../../../../docs/platforms.md');
const { platforms } = PlatformCatalogue.create();

const marked = (text: string, { confirmed }: Source): string => (confirmed ? text : `*${text}*`);
const limits = ({ min, max }: { min?: number | undefined; max?: number | undefined }): string =>
  min === undefined ? `≤ ${max}` : max === undefined ? `≥ ${min}` : `${min}–${max}`;

function ruleText(rule: SourcedRule): string {
  switch (rule.check) {
    case 'videoBitrate':
      return rule.tiers
        ? rule.tiers.map((tier) => `${tier.height}p${tier.fps ?? ''} ${limits(tier)}`).join(', ')
        : limits(rule);
    case 'videoSize':
      return `≤ ${rule.max.join('x')}`;
    case 'sessionLength':
      return `${limits(rule)} h`;
    case 'video':
    case 'audio':
      return 'needed';
    case 'bFrames':
      return 'none';
    default:
      return 'oneOf' in rule ? rule.oneOf.join(' or ') : limits(rule);
  }
}

function table(): string {
  const rows = platforms.map(({ id, name, ingest, backup, codecs, rules, note, sources }) => {
    const servers = [
      ingest ? marked(`\`${ingest.url}\``, sources[ingest.source]!) : 'a URL of its own for each channel or event',
      ...(backup ? [`backup ${marked(`\`${backup.url}\``, sources[backup.source]!)}`] : []),
    ];
    const limitsOf = rules.map((rule) =>
      marked(`${rule.check}${rule.limit === 'hard' ? ' H' : ''}: ${ruleText(rule)}`, rule.from),
    );
    if (codecs) limitsOf.unshift(marked(`takes ${codecs.takes.join(', ')}`, sources[codecs.source]!));
    const titles = [...new Set(rules.map(({ from }) => from.title))];
    return `| ${name} (\`${id}\`) | ${servers.join('; ')} | ${limitsOf.join('; ')} | ${titles.join('; ')} | ${note ?? ''} |`;
  });
  const checked = [...new Set(platforms.flatMap(({ rules }) => rules.map(({ from }) => from.checked)))];
  return [
    `Checked: ${checked.join(', ')}.`,
    '',
    '| platform | server | rules | sources | notes |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

t.test('docs/platforms.md shows every number of config/platforms.json', async (t) => {
  const text = readFileSync(FILE, 'utf8');
  const [, before, shown, after] = /^(.*<!-- platforms:[^\n]*-->\n)(.*?)(<!-- \/platforms -->.*)$/s.exec(text)!;
  const expected = `\n${table()}\n\n`;
  if (process.env['UPDATE_PLATFORMS']) return writeFileSync(FILE, `${before}${expected}${after}`);
  t.equal(shown, expected);
});
