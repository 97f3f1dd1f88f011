// msgpack for a page: https://github.com/msgpack/msgpack/blob/master/spec.md, without extension types.
// Integers are those that a number holds exactly, up to 2^53 - 1; bytes are Uint8Array; maps are objects.

const utf8 = { encode: new TextEncoder(), decode: new TextDecoder("utf-8", { fatal: true }) };

export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const value = () => {
    const code = view.getUint8(at++);
    if (code < 0x80) return code;
    if (code < 0x90) return map(code & 0x0f);
    if (code < 0xa0) return array(code & 0x0f);
    if (code < 0xc0) return text(code & 0x1f);
    if (code >= 0xe0) return code - 0x100;
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return view.getFloat32((at += 4) - 4);
      case 0xcb: return view.getFloat64((at += 8) - 8);
      case 0xd0: return view.getInt8(at++);
      case 0xd1: return view.getInt16((at += 2) - 2);
      case 0xd2: return view.getInt32((at += 4) - 4);
      case 0xd3: return exact(view.getBigInt64((at += 8) - 8));
    }
    if (code >= 0xc4 && code <= 0xc6) return take(unsigned(1 << (code - 0xc4)));
    if (code >= 0xcc && code <= 0xcf) return unsigned(1 << (code - 0xcc));
    if (code >= 0xd9 && code <= 0xdb) return text(unsigned(1 << (code - 0xd9)));
    if (code === 0xdc || code === 0xdd) return array(unsigned(2 << (code - 0xdc)));
    if (code === 0xde || code === 0xdf) return map(unsigned(2 << (code - 0xde)));
    throw new RangeError(`msgpack: the type 0x${code.toString(16)} is not read here`);
  };
  const unsigned = (size) => {
    at += size;
    if (size === 1) return view.getUint8(at - 1);
    if (size === 2) return view.getUint16(at - 2);
    return size === 4 ? view.getUint32(at - 4) : exact(view.getBigUint64(at - 8));
  };
  const take = (size) => {
    if (at + size > bytes.length) throw new RangeError("msgpack: the end is missing");
    return bytes.subarray(at, (at += size));
  };
  const text = (size) => utf8.decode.decode(take(size));
  const array = (size) => {
    const found = [];
    while (found.length < size) found.push(value());
    return found;
  };
  const map = (size) => {
    const found = Object.create(null);
    for (let left = size; left > 0; left--) found[value()] = value();
    return found;
  };
  const found = value();
  if (at !== bytes.length) throw new RangeError("msgpack: something follows the value");
  return found;
}

export function encode(value) {
  const bytes = [];
  const put = (code, size, number) => {
    bytes.push(code);
    for (let shift = size - 1; shift >= 0; shift--) bytes.push(Math.floor(number / 256 ** shift) & 0xff);
  };
  const sized = (length, short, most, codes) => {
    if (length <= most) bytes.push(short | length);
    else if (length < 0x100 && codes.length === 3) put(codes[0], 1, length);
    else if (length < 0x10000) put(codes.at(-2), 2, length);
    else put(codes.at(-1), 4, length);
  };
  const number = (given) => {
    if (!Number.isSafeInteger(given)) float(given);
    else if (given >= 0) {
      if (given < 0x80) bytes.push(given);
      else if (given < 0x100) put(0xcc, 1, given);
      else if (given < 0x10000) put(0xcd, 2, given);
      else if (given < 0x100000000) put(0xce, 4, given);
      else put(0xcf, 8, given);
    } else if (given >= -0x20) bytes.push(given & 0xff);
    else float(given);
  };
  const float = (given) => {
    const eight = new DataView(new ArrayBuffer(8));
    eight.setFloat64(0, given);
    bytes.push(0xcb, ...new Uint8Array(eight.buffer));
  };
  const all = (given) => {
    if (given === null || given === undefined) bytes.push(0xc0);
    else if (typeof given === "boolean") bytes.push(given ? 0xc3 : 0xc2);
    else if (typeof given === "number") number(given);
    else if (typeof given === "string") {
      const said = utf8.encode.encode(given);
      sized(said.length, 0xa0, 31, [0xd9, 0xda, 0xdb]);
      for (const byte of said) bytes.push(byte);
    } else if (given instanceof Uint8Array) {
      sized(given.length, 0, -1, [0xc4, 0xc5, 0xc6]);
      for (const byte of given) bytes.push(byte);
    } else if (Array.isArray(given)) {
      sized(given.length, 0x90, 15, [0xdc, 0xdd]);
      given.forEach(all);
    } else {
      const pairs = Object.entries(given);
      sized(pairs.length, 0x80, 15, [0xde, 0xdf]);
      pairs.forEach(([key, each]) => (all(key), all(each)));
    }
  };
  all(value);
  return new Uint8Array(bytes);
}

function exact(big) {
  const number = Number(big);
  if (!Number.isSafeInteger(number)) throw new RangeError("msgpack: an integer is larger than 2^53 - 1");
  return number;
}
