import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { ERROR_KINDS, type ErrorCode } from '../../errors.ts';
import { RETRY_AFTER } from '../error-reply.ts';
import type { JsonAnswer, Operation } from './operation.ts';
import { OPERATIONS } from './operations.ts';
import { SCHEMAS, type SchemaName } from './schemas.ts';

/** Of the interface, not of the gateway. */
const API_VERSION = '1';

/** Errors that every route can answer with. */
const EVERYWHERE: readonly ErrorCode[] = ['REQUEST_TIMEOUT', 'RATE_LIMITED', 'INTERNAL', 'SHUTTING_DOWN'];
const GUARDED: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'TOKEN_EXPIRED',
  'HOST_NOT_ALLOWED',
  'FORBIDDEN',
  'ACCESS_UNAVAILABLE',
];

/** The OpenAPI 3.1 document of the HTTP interface. */
export function createDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) (paths[operation.path] ??= {})[operation.method] = describe(operation);
  return {
    openapi: '3.1.0',
    info: {
      title: 'WebRTC Transponder',
      version: API_VERSION,
      description:
        'The REST methods of Flashphoner Web Call Server for republishing, streams and connections, additions ' +
        'to them, WHIP and WHEP. A null field counts as not sent, numbers and booleans may be strings, and ' +
        "unknown fields are ignored and named in X-Ignored-Fields. Other parts of WCS's REST interface answer " +
        '501.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }, {}],
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(SCHEMAS).map(([name, schema]) => [name, jsonSchema(schema)])),
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'A key of the settings or a token, where the gateway requires one.',
        },
        apiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Api-Key',
          description: 'A key of the settings or a token, where the gateway requires one.',
        },
      },
    },
  };
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: made }) => {
      // A field that must not be sent.
      if (zodSchema._zod.def.type === 'undefined') made.not = {};
      if (made.maximum === Number.MAX_SAFE_INTEGER) delete made.maximum;
    },
  });
  return rest;
}

function describe(operation: Operation): object {
  const { id, tag, summary, body, open = false } = operation;
  const parameters = parametersOf(operation);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(open && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody:
        'text' in body
          ? { required: true, content: textContent(body.text) }
          : { required: body.required, content: jsonContent(reference(body.schema)) },
    }),
    responses: { ...success(operation), ...failures(operation), ...unavailable(operation) },
  };
}

function parametersOf({ path, query = {} }: Operation): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(query).map(([name, parameter]) => ({
    name,
    in: 'query',
    required: false,
    ...parameter,
  }));
  return [...inPath, ...inQuery];
}

function success({ status = 200, answer, headers = [] }: Operation): Record<string, object> {
  return {
    [status]: {
      description: STATUS_CODES[status]!,
      ...(headers.length > 0 && {
        headers: Object.fromEntries(headers.map((name) => [name, { schema: { type: 'string' } }])),
      }),
      ...(answer && { content: contentOf(answer) }),
    },
  };
}

function contentOf(answer: NonNullable<Operation['answer']>): object {
  if (typeof answer === 'object' && 'text' in answer) return textContent(answer.text);
  if (typeof answer === 'object' && 'anyOf' in answer) return jsonContent({ anyOf: answer.anyOf.map(schemaOf) });
  return jsonContent(schemaOf(answer));
}

const schemaOf = (answer: JsonAnswer): object =>
  typeof answer === 'string' ? reference(answer) : { type: 'array', items: reference(answer.listOf) };

/** The codes of one status share one response. */
function failures({ open = false, errors, red5 = false }: Operation): Record<string, object> {
  const codes = [...errors, ...(open ? [] : GUARDED), ...EVERYWHERE];
  const byStatus = Map.groupBy(codes, (code) => ERROR_KINDS[code].httpStatus);
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: `${STATUS_CODES[status]}: ${list.join(', ')}`,
        ...(list.some((code) => RETRY_AFTER.has(status) && ERROR_KINDS[code].retryable) && {
          headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'Seconds.' } },
        }),
        content: jsonContent(reference(red5 ? 'Red5Error' : 'Error')),
      },
    ]),
  );
}

/** Routes of monitoring answer with their usual body while the gateway cannot take streams. */
function unavailable({ whileUnavailable: schema }: Operation): Record<string, object> {
  return schema ? { 503: { description: STATUS_CODES[503]!, content: jsonContent(reference(schema)) } } : {};
}

const reference = (name: SchemaName): object => ({ $ref: `#/components/schemas/${name}` });
const jsonContent = (schema: object): object => ({ 'application/json': { schema } });
const textContent = (type: string): object => ({ [type]: { schema: { type: 'string' } } });
