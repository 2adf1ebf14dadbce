import { format, resolveConfig } from 'prettier';
import { z } from 'zod';
import { ErrorSchema, RecordingViewSchema } from '../src/api/openapi/answers.ts';
import {
  DestinationViewSchema,
  GroupChangeSchema,
  GroupCheckSchema,
  GroupStartSchema,
  GroupViewSchema,
} from '../src/api/ops/destination-schemas.ts';
import { FilterSchema, push } from '../src/api/wcs/schemas.ts';
import { PictureChangeSchema, StandbyFieldsSchema } from '../src/api/wcs/standby-schemas.ts';
import {
  CodecsSchema,
  ComplianceSchema,
  LegSchema,
  OptionsSchema,
  PublisherAwaySchema,
  PushWarningSchema,
  TransponderSchema,
  VerdictSchema,
} from '../src/views/push-view.ts';

/** The types of the browser library, whose package contains nothing of the server: from the schemas of the server. */

const SCHEMAS = {
  Transponder: TransponderSchema,
  TransponderLeg: LegSchema,
  TransponderOptions: OptionsSchema,
  PublisherAway: PublisherAwaySchema,
  PushCodecs: CodecsSchema,
  PushWarning: PushWarningSchema,
  Compliance: ComplianceSchema,
  Verdict: VerdictSchema,
  TransponderFilter: FilterSchema,
  PushOrder: z.object(push),
  PictureChange: PictureChangeSchema,
  StandbyOptions: StandbyFieldsSchema,
  SavedDestinationState: DestinationViewSchema,
  DestinationGroup: GroupViewSchema,
  GroupChange: GroupChangeSchema,
  GroupCheck: GroupCheckSchema,
  GroupStart: GroupStartSchema,
  Recording: RecordingViewSchema,
  GatewayErrorCode: ErrorSchema.shape.exception,
};

const HEADER = `/**
 * What the gateway sends to pages and takes from them, as JSON. Times are ISO 8601. Made from the schemas of the gateway:
 * UPDATE_CLIENT_TYPES=1 npm test -- test/unit/web/client/wire-types.test.ts
 */
`;
/** Of comments. */
const MAX_WIDTH = 100;

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** The text of `src/web/client/schemas.d.ts`. */
export async function clientTypes(): Promise<string> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    io: 'input',
    uri: (id) => id,
    unrepresentable: 'any',
    // A field that must not be sent.
    override: ({ zodSchema, jsonSchema }) => void (zodSchema._zod.def.type === 'undefined' && (jsonSchema.not = {})),
  });
  const declarations = Object.entries(schemas).map(([name, schema]) => declaration(name, schema));
  const text = [HEADER, ...declarations].join('\n');
  return format(text, { ...(await resolveConfig(import.meta.filename)), parser: 'typescript' });
}

const declaration = (name: string, schema: JsonSchema): string =>
  comment(schema) +
  (schema.type === 'object'
    ? `export interface ${name} ${typeOf(schema)}\n`
    : `export type ${name} = ${typeOf(schema)};\n`);

function typeOf(schema: JsonSchema): string {
  const { $ref, not, enum: values, const: value, anyOf, oneOf, type } = schema;
  if ($ref !== undefined) return $ref;
  if (not) return 'undefined';
  if (value !== undefined) return JSON.stringify(value);
  if (values) return values.map((each) => JSON.stringify(each)).join(' | ');
  const choices = anyOf ?? oneOf;
  if (choices) return unionOf(choices as JsonSchema[]);
  switch (type) {
    case 'object':
      return `{\n${fieldsOf(schema)}}`;
    case 'array':
      return `readonly (${typeOf(schema.items as JsonSchema)})[]`;
    case 'integer':
      return 'number';
    case 'string':
    case 'number':
    case 'boolean':
      return type;
    default:
      throw new Error(`There is no type for ${JSON.stringify(schema)}.`);
  }
}

/** Without the values that another choice includes, such as 0 beside numbers. */
function unionOf(choices: readonly JsonSchema[]): string {
  const whole = new Set(choices.map(typeOf));
  return choices
    .filter(({ const: value }) => value === undefined || !whole.has(typeof value))
    .map(typeOf)
    .filter((type, index, all) => all.indexOf(type) === index)
    .join(' | ');
}

const fieldsOf = ({ properties = {}, required = [] }: JsonSchema): string =>
  Object.entries(properties as Record<string, JsonSchema>)
    .map(([name, schema]) => {
      const mark = required.includes(name) ? '' : '?';
      return `${comment(schema)}readonly ${name}${mark}: ${typeOf(schema)};\n`;
    })
    .join('');

function comment({ description }: JsonSchema): string {
  if (description === undefined) return '';
  const lines = description.match(new RegExp(`\\S.{0,${MAX_WIDTH}}(?=\\s|$)`, 'g'))!;
  return lines.length === 1 ? `/** ${description} */\n` : `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */\n`;
}
