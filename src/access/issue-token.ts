import { SignJWT } from 'jose';
import type { Secret } from '../net/secret.ts';
import type { JwtClaims } from './jwt-claims.ts';

/** A token (HS256) that a gateway with this secret accepts. */
export function issueToken(
  { sub, exp, ...claims }: JwtClaims,
  secret: Secret,
  { issuer, audience }: { readonly issuer?: string; readonly audience?: string } = {},
): Promise<string> {
  const token = new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(sub)
    .setExpirationTime(exp)
    .setIssuedAt();
  if (issuer) token.setIssuer(issuer);
  if (audience) token.setAudience(audience);
  return token.sign(Buffer.from(secret.reveal()));
}
