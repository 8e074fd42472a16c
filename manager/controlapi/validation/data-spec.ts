import type { ConfigSpec, SecretSpec } from '../../../proto/objects/secret.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';
import { validateDataName } from './name.ts';

/** As swarmkit's MaxSecretSize and MaxConfigSize; a payload must be smaller. */
const MAX_SECRET_BYTES = 500 * 1024;
const MAX_CONFIG_BYTES = 1000 * 1024;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function validateSecretSpec(spec: SecretSpec): void {
  validateDataName(spec.Name);
  if (spec.Driver !== undefined && spec.Driver !== null) {
    if ((spec.Driver.Name ?? '') === '') throw swarmError('invalid-argument', 'secret driver must have a name');
    throw new WaggleError('unimplemented', 'secret drivers are not supported');
  }
  assertSize(spec.Data, 'secret', MAX_SECRET_BYTES);
}

export function validateConfigSpec(spec: ConfigSpec): void {
  validateDataName(spec.Name);
  assertSize(spec.Data, 'config', MAX_CONFIG_BYTES);
}

function assertSize(data: string | undefined, noun: 'secret' | 'config', limit: number): void {
  const base64 = data ?? '';
  if (base64.length % 4 !== 0 || !BASE64.test(base64)) {
    throw new WaggleError('invalid-argument', `${noun} data is not valid base64`);
  }
  const size = Buffer.byteLength(base64, 'base64');
  if (size < 1 || size >= limit) {
    throw swarmError('invalid-argument', `${noun} data must be larger than 0 and less than ${limit} bytes`);
  }
}
