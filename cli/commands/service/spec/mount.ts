import type { Json } from '../../../../proto/objects/meta.ts';
import { parseBytes } from '../../../format/units.ts';
import { csvFields } from './go-csv.ts';
import { refuse } from './values.ts';

type Mount = { [key: string]: Json };

const TRUE = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE = ['0', 'f', 'F', 'false', 'FALSE', 'False'];
const SWITCHES = ['readonly', 'ro', 'volume-nocopy', 'bind-nonrecursive'];

/** `--mount type=volume,source=data,target=/data,readonly` -> the Engine API's Mount. @throws CommandError */
export function parseMount(text: string): Mount {
  const mount: Mount = { Type: 'volume' };
  for (const field of csvFields(text)) {
    const at = field.indexOf('=');
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    if (at < 0 && !SWITCHES.includes(key))
      return refuse('mount', text, `invalid field '${field}' must be a key=value pair`);
    const set = SETTERS[key];
    if (set === undefined) return refuse('mount', text, `unexpected key '${key}' in '${field}'`);
    try {
      set(mount, at < 0 ? 'true' : field.slice(at + 1), key);
    } catch (error) {
      return refuse('mount', text, error instanceof Error ? error.message : String(error));
    }
  }
  if (mount['Type'] === '') return refuse('mount', text, 'type is required');
  if (mount['Target'] === undefined) return refuse('mount', text, 'target is required');
  return mount;
}

type Setter = (mount: Mount, value: string, key: string) => void;

const source: Setter = (mount, value) => void (mount['Source'] = value);
const target: Setter = (mount, value) => void (mount['Target'] = value);
const readonly: Setter = (mount, value, key) => {
  if (switched(value, key)) mount['ReadOnly'] = true;
};

const SETTERS: Readonly<Record<string, Setter>> = {
  type: (mount, value) => void (mount['Type'] = value.toLowerCase()),
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly,
  ro: readonly,
  consistency: (mount, value) => void (mount['Consistency'] = value.toLowerCase()),
  'bind-propagation': (mount, value) => void (part(mount, 'BindOptions')['Propagation'] = value.toLowerCase()),
  'bind-nonrecursive': (mount, value, key) => void (part(mount, 'BindOptions')['NonRecursive'] = switched(value, key)),
  'volume-nocopy': (mount, value, key) => void (part(mount, 'VolumeOptions')['NoCopy'] = switched(value, key)),
  'volume-label': (mount, value) => assign(part(part(mount, 'VolumeOptions'), 'Labels'), value),
  'volume-driver': (mount, value) => void (driver(mount)['Name'] = value),
  'volume-opt': (mount, value) => assign(part(driver(mount), 'Options'), value),
  'tmpfs-size': (mount, value) => void (part(mount, 'TmpfsOptions')['SizeBytes'] = parseBytes(value)),
  'tmpfs-mode': (mount, value) => {
    if (!/^[0-7]+$/.test(value)) throw new Error(`invalid value for tmpfs-mode: ${value}`);
    part(mount, 'TmpfsOptions')['Mode'] = Number.parseInt(value, 8);
  },
};

function driver(mount: Mount): Mount {
  return part(part(mount, 'VolumeOptions'), 'DriverConfig');
}

function part(mount: Mount, key: string): Mount {
  const present = mount[key];
  if (present !== undefined) return present as Mount;
  const fresh: Mount = {};
  mount[key] = fresh;
  return fresh;
}

function assign(to: Mount, pair: string): void {
  const at = pair.indexOf('=');
  to[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? '' : pair.slice(at + 1);
}

function switched(value: string, key: string): boolean {
  if (TRUE.includes(value)) return true;
  if (FALSE.includes(value)) return false;
  throw new Error(`invalid value for ${key}: ${value}`);
}
