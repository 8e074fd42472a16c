import type { Json } from '../../../../proto/objects/meta.ts';
import { fields, refuse } from './values.ts';

type Mount = { [key: string]: Json };

const ON = ['', 'true', '1'];

/** `--mount type=volume,source=data,target=/data,readonly` -> the Engine API's Mount. @throws CommandError */
export function parseMount(text: string): Mount {
  const given = fields(text);
  const type = given.get('type') ?? 'volume';
  const source = given.get('source') ?? given.get('src');
  const target = given.get('target') ?? given.get('destination') ?? given.get('dst');
  if (target === undefined) return refuse('mount', text, 'target is required');
  if (type === 'bind' && source === undefined)
    return refuse('mount', text, 'source is required when specifying mount type bind');
  const readonly = given.get('readonly') ?? given.get('ro');
  const mount: Mount = { Type: type, Target: target };
  if (source !== undefined) mount['Source'] = source;
  if (readonly !== undefined && ON.includes(readonly)) mount['ReadOnly'] = true;
  const propagation = given.get('bind-propagation');
  if (propagation !== undefined) mount['BindOptions'] = { Propagation: propagation };
  const volume = volumeOptions(text, given);
  if (Object.keys(volume).length > 0) mount['VolumeOptions'] = volume;
  const size = given.get('tmpfs-size');
  if (size !== undefined) mount['TmpfsOptions'] = { SizeBytes: Number(size) };
  return mount;
}

/** `volume-opt` and `volume-label` may be repeated, so they are read from the text itself. */
function volumeOptions(text: string, given: ReadonlyMap<string, string>): Mount {
  const options: Mount = {};
  const nocopy = given.get('volume-nocopy');
  if (nocopy !== undefined) options['NoCopy'] = ON.includes(nocopy);
  const labels = repeated(text, 'volume-label');
  if (Object.keys(labels).length > 0) options['Labels'] = labels;
  const driver = given.get('volume-driver');
  const driverOptions = repeated(text, 'volume-opt');
  if (driver !== undefined || Object.keys(driverOptions).length > 0) {
    options['DriverConfig'] = { Name: driver ?? '', Options: driverOptions };
  }
  return options;
}

function repeated(text: string, key: string): Record<string, string> {
  const pairs = text.split(',').filter((part) => part.startsWith(`${key}=`));
  return Object.fromEntries(
    pairs.map((pair) => {
      const [name = '', ...value] = pair.slice(key.length + 1).split('=');
      return [name, value.join('=')];
    }),
  );
}
