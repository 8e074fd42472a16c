import type { Json } from '../../../proto/objects/meta.ts';
import type { ContainerSpec, ResourceSet, RestartPolicy, TaskSpec } from '../../../proto/objects/task.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import { parseConstraints } from '../../constraint/constraint.ts';
import { swarmError } from '../swarm-error.ts';
import { validateImage } from './image.ts';

const MIN_CPU_NANOS = 1e6;
const MIN_MEMORY_BYTES = 4 * 1024 * 1024;
const MIN_DURATION_NS = 1e6;
const RESTART_CONDITIONS: ReadonlySet<unknown> = new Set([undefined, '', 'none', 'on-failure', 'any']);
/** swarmkit's; without one it is a bind. */
const MOUNT_TYPES: ReadonlySet<string> = new Set(['', 'bind', 'volume', 'tmpfs', 'npipe']);

type Healthcheck = NonNullable<ContainerSpec['Healthcheck']>;

/** @throws WaggleError invalid-argument, in the order and words of swarmkit. */
export function validateTaskSpec(spec: TaskSpec): void {
  if (spec.Runtime !== undefined && spec.Runtime !== '' && spec.Runtime !== 'container') {
    throw spec.Runtime === 'plugin'
      ? new WaggleError('unimplemented', 'services of plugins are not supported')
      : new WaggleError('invalid-argument', 'unsupported runtime');
  }
  if (spec.ContainerSpec === undefined || spec.ContainerSpec === null) {
    throw new WaggleError('invalid-argument', 'mismatched Runtime and *Spec fields');
  }
  validateResources(spec.Resources?.Limits);
  validateResources(spec.Resources?.Reservations);
  validateRestartPolicy(spec.RestartPolicy);
  validateConstraints(spec.Placement?.Constraints ?? []);
  validateReferences(spec.ContainerSpec.Secrets ?? [], 'secret');
  validateReferences(spec.ContainerSpec.Configs ?? [], 'config');
  validateImage(spec.ContainerSpec.Image);
  validateMounts(spec.ContainerSpec.Mounts ?? []);
  validateHealthcheck(spec.ContainerSpec.Healthcheck);
}

function validateResources(resources: ResourceSet | null | undefined): void {
  const cpu = resources?.NanoCPUs ?? 0;
  if (cpu !== 0 && cpu < MIN_CPU_NANOS) {
    throw swarmError('invalid-argument', `invalid cpu value ${formatFloat(cpu / 1e9)}: Must be at least 0.001`);
  }
  const memory = resources?.MemoryBytes ?? 0;
  if (memory !== 0 && memory < MIN_MEMORY_BYTES) {
    throw swarmError('invalid-argument', `invalid memory value ${memory}: Must be at least 4MiB`);
  }
}

function validateRestartPolicy(policy: RestartPolicy | null | undefined): void {
  if (!RESTART_CONDITIONS.has(policy?.Condition)) {
    throw new WaggleError('invalid-argument', `invalid RestartCondition: ${JSON.stringify(policy?.Condition)}`);
  }
  if ((policy?.Delay ?? 0) < 0) throw swarmError('invalid-argument', 'TaskSpec: restart-delay cannot be negative');
  if ((policy?.Window ?? 0) < 0) throw swarmError('invalid-argument', 'TaskSpec: restart-window cannot be negative');
}

function validateConstraints(expressions: readonly string[]): void {
  try {
    parseConstraints(expressions);
  } catch (error) {
    throw swarmError('unknown', messageOf(error));
  }
}

/** Each names an object by ID and name, and no two are put into the same file. */
function validateReferences(references: readonly { [key: string]: Json }[], noun: 'secret' | 'config'): void {
  const [idField, nameField] = noun === 'secret' ? ['SecretID', 'SecretName'] : ['ConfigID', 'ConfigName'];
  const holders = new Map<string, string>();
  for (const reference of references) {
    const name = text(reference[nameField]);
    if (text(reference[idField]) === '' || name === '') throw malformed(`malformed ${noun} reference`);
    const file = reference['File'];
    if (typeof file !== 'object' || file === null || Array.isArray(file)) {
      if (noun === 'config' && typeof reference['Runtime'] === 'object' && reference['Runtime'] !== null) continue;
      throw malformed(`malformed ${noun} reference, no target provided`);
    }
    const target = text(file['Name']);
    if (target === '') throw malformed(`malformed file ${noun} reference, invalid target file name provided`);
    const holder = holders.get(target);
    if (holder !== undefined) {
      throw malformed(`${noun} references '${holder}' and '${name}' have a conflicting target: '${target}'`);
    }
    holders.set(target, name);
  }
}

function validateMounts(mounts: readonly { [key: string]: Json }[]): void {
  const seen = new Set<string>();
  for (const mount of mounts) {
    const type = text(mount['Type']);
    if (!MOUNT_TYPES.has(type.toLowerCase())) {
      throw new WaggleError('invalid-argument', `invalid MountType: ${JSON.stringify(type)}`);
    }
    const target = text(mount['Target']);
    if (seen.has(target)) throw malformed(`ContainerSpec: duplicate mount point: ${target}`);
    seen.add(target);
  }
}

function validateHealthcheck(check: Healthcheck | null | undefined): void {
  if (check === undefined || check === null) return;
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const duration = check[field] ?? 0;
    if (duration !== 0 && duration < MIN_DURATION_NS) {
      throw malformed(`ContainerSpec: ${field} in HealthConfig cannot be less than 1ms`);
    }
  }
  if ((check.Retries ?? 0) < 0) throw malformed('ContainerSpec: Retries in HealthConfig cannot be negative');
}

function malformed(description: string): WaggleError {
  return swarmError('invalid-argument', description);
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** As C's %g: at most six digits, with an exponent of two digits below 0.0001. */
function formatFloat(value: number): string {
  const short = Number(value.toPrecision(6));
  if (Math.abs(short) >= 1e-4) return String(short);
  return short.toExponential().replace(/e-(\d)$/, 'e-0$1');
}
