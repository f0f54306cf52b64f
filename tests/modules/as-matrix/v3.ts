// Small dense matrices in linear memory: exported functions over numbers, a class, a static array.

class Matrix {
  data: StaticArray<f64>;

  constructor(public rows: i32, public columns: i32) {
    this.data = new StaticArray<f64>(rows * columns);
  }

  at(row: i32, column: i32): f64 {
    return this.data[row * this.columns + column];
  }

  put(row: i32, column: i32, value: f64): void {
    this.data[row * this.columns + column] = value;
  }

  times(other: Matrix): Matrix {
    if (this.columns != other.rows) throw new Error("shapes differ");
    const result = new Matrix(this.rows, other.columns);
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < other.columns; column++) {
        let sum: f64 = 0;
        for (let i = 0; i < this.columns; i++) sum += this.at(row, i) * other.at(i, column);
        result.put(row, column, sum);
      }
    }
    return result;
  }
}

function transposed(matrix: Matrix): Matrix {
  const result = new Matrix(matrix.columns, matrix.rows);
  for (let row = 0; row < matrix.rows; row++) {
    for (let column = 0; column < matrix.columns; column++) result.put(column, row, matrix.at(row, column));
  }
  return result;
}

const weights: StaticArray<i32> = [2, 7, 1, 8, 2, 8, 1, 8];
let products: i32 = 1000;

function filled(size: i32, seed: i32): Matrix {
  const matrix = new Matrix(size, size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      matrix.put(row, column, <f64>weights[(row * size + column + seed) & 7]);
    }
  }
  return matrix;
}

export function trace(size: i32, seed: i32, scale: f64): f64 {
  const matrix = filled(size, seed);
  let sum: f64 = 0;
  for (let i = 0; i < size; i++) sum += matrix.at(i, i) * scale;
  return sum;
}

export function power(size: i32, exponent: i32): f64 {
  const base = filled(size, 0);
  let result = base;
  for (let i = 1; i < exponent; i++) {
    result = i & 1 ? result.times(transposed(base)) : result.times(base);
    products++;
    observe(result.at(0, 0));
  }
  return result.at(0, size - 1);
}

@external("env", "observe")
declare function observe(value: f64): void;

export function count(): i32 {
  return products;
}
