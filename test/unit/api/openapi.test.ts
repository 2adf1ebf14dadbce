import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { FilterSchema, SoundOnSchema, StartSchema, TransponderIdSchema } from '../../../src/api/wcs/schemas.ts';
import { viewOf } from '../../helpers/fake-transponders.ts';
import { createHttpApp } from '../../helpers/http-app.ts';

const DOCS = join(import.meta.dirname, '../../../docs');
const { paths, components } = JSON.parse(readFileSync(join(DOCS, 'openapi.json'), 'utf8')) as {
  paths: Record<string, Record<string, unknown>>;
  components: { schemas: Record<string, { properties: Record<string, unknown>; required?: string[] }> };
};

t.test('every documented route exists', async (t) => {
  const { app, http } = await createHttpApp();
  t.teardown(() => app.close());
  const text = readFileSync(join(DOCS, 'rest.md'), 'utf8');
  for (const [url, methods] of Object.entries(paths)) {
    for (const method of Object.keys(methods)) {
      t.ok(http.hasRoute({ method: method.toUpperCase() as 'GET', url }), `${method} ${url}`);
      t.match(text, url.replace('/rest-api', ''), 'in rest.md too');
    }
  }
});

t.test('the documented fields are those of the schemas', async (t) => {
  for (const [name, schema] of Object.entries({
    StartRequest: StartSchema,
    Filter: FilterSchema,
    TransponderId: TransponderIdSchema,
    SoundOn: SoundOnSchema,
  })) {
    const { properties, required = [] } = components.schemas[name]!;
    t.strictSame(Object.keys(properties), Object.keys(schema.shape), name);
    const needed = Object.entries(schema.shape).filter(([, field]) => !field.safeParse(undefined).success);
    t.strictSame(
      required,
      needed.map(([field]) => field),
      `${name}: required`,
    );
  }
  const view = viewOf({ streamName: 'a', rtmpUrl: 'b' }, { endedAt: '', publisherAway: { since: '', until: '' } });
  t.strictSame(Object.keys(components.schemas['Transponder']!.properties).sort(), Object.keys(view).sort());
});
